"""From paths to tokens: reading any text file, normalizing it, and numbering its symbols.

What a text goes through, and the module of each stage:

    source           paths -> bytes: files, folders, gzip, standard input
    encoding         bytes -> encoding, with the help of `formats` (no text at all), `wide` (UTF-16
                     and UTF-32), `damage` (two encodings, wrong bytes), `codepage` and `alphabets`
                     (legacy encodings), `encoding_names` (what people type)
    reader           bytes -> text, in pieces
    normalization    text -> text: line ends, composed characters, folding
    documents        text -> text with a mark between documents
    text_stream      several sources through all these stages, with a report on each
    vocabulary       symbols and their ids; `words` cuts a text into words
    nearest_forms    characters that a vocabulary lacks -> the nearest forms that it has
    tokens           text -> a file of ids
    cache            files of ids that are kept
    corpus           `Corpus.open`: paths -> a memory-mapped array of ids

What becomes of the array:

    spans            where its documents are
    pairs            where its pairs of a source and a target are
    split            which of them train and which validate
    windows          batches of inputs and targets

`corpus_options` declares the settings, `word_vectors` reads files of word vectors.
"""
