"""What texts of many languages look like in the bytes beyond ASCII: data for `codepage`.

Letters and their shares, pairs of Cyrillic letters, short words without accents, and the code pages
with the languages they were made for. Shares need not be exact: the candidates differ by much more.
"""

from __future__ import annotations

LETTERS = "абвгдежзийклмнопрстуфхцчшщъыьэюяё"

#: The cost of each pair of letters in half nats, as a base-36 digit. Rows are the first letter,
#: columns the second; the first row and column are the border of a word. Counted in two novels of
#: Dostoevsky (Бесы, Подросток; the CC0 edition of Digital Dostoevsky) and smoothed by the shares of
#: single letters. That edition prints few "ё", so each "е" counts as 0.06 "ё" too.
PAIRS = (
    "0864868975i6865658567cad7bgiii8e7d",
    "3ia697876d85466g9765ed9e98ciiii87e",
    "77gbhd4gi6i96b84i59g5ibidg893big69",
    "44gdh84i95ic8c64985a9iefb8hi5biiaa",
    "56hfi58ii6ib5d81i6cf7iiidiiiiiiiie",
    "73f7fd4eg5i97d54b59a6ic9ccif87ih99",
    "3f8867798d78565c8565dhab899iiiibbd",
    "64cge52gi4i9cf5bhedb7iiidiiihbiih7",
    "5295768ae7ia8846h8cd7iiichic88id7e",
    "2d97977b7987566ca975hg7979ciiiia8d",
    "1fhfh7eihfia9a6chf66giib88hihhiihi",
    "33i9ie8hf5if8h72i6a86iidihiiiiiiie",
    "34efbf5ai4iabga4ei7d7iiibiii85i77a",
    "35aici4ii5icbe54cdbe5iifedii7cii99",
    "53ihda3hg4ibii63idaa6ficbici68ib79",
    "3i7566889a78666c9666ebce8adiiigaad",
    "b6ihii4ii6ic8ib2d2fc7iiefihi9cii8a",
    "73b8a94ac4iada83cg985ibfcaei77ib79",
    "57d7fb5fg7i558867b838ibeabifa5ib57",
    "55h6hc4ii5iabf83d68e7igebghh84ifaa",
    "2e7765a59fa766ag7865ie9f779iiie7df",
    "84dcdc4ee2ec8ab4d5a669fgdceha7geca",
    "25g7efahh8hg8972g9bd8iiiggiihggigf",
    "43f9fe2ff5g9ddc5eddc5eghfghi6ehge8",
    "64igih3ii5i8dg6bi9g36iiiiaiii9iii8",
    "84hbhg3ih3i66d67bffb6iiihiiih5iig8",
    "94fdfe1gf3gede8aecdc6ighfghif9hge7",
    "68b9ba4cb9ca9a87a999aecdbcdebbdb19",
    "2g96a96dbd59459fa866gi6f87fiiiiigc",
    "1gbcac8habi5h85cig69idibb8fiiii87d",
    "8cfdbecfdde8aaacb9a0ebahfghiffhhfh",
    "1e5ee6ddedgc89adea66ghfd8c7iggiagi",
    "1gd8c7ab8cc9687fcc75ii9cafaiiiiabg",
    "2d9877898c79665b8566cgab999iggibbi",
)

#: Letters of each Cyrillic alphabet besides the common ones, and the letter of `PAIRS` that each
#: behaves like ("ъ" is a vowel in Bulgarian, "ј" takes the place of the Russian "й").
COMMON = "абвгдежзиклмнопрстуфхцчш"
CYRILLIC: dict[str, dict[str, str]] = {
    "Russian": dict(zip("йщъыьэюяё", "йщъыьэюяё", strict=True)),
    "Ukrainian": dict(zip("йщьюяіїєґи", "йщьюяиеегы", strict=True)),
    "Belarusian": dict(zip("йыьэюяёіў", "йыьэюяёив", strict=True)),
    "Bulgarian": dict(zip("йщъьюяѝ", "йщоьюяи", strict=True)),
    "Serbian": dict(zip("јљњћђџ", "йлнчжж", strict=True)),
    "Macedonian": dict(zip("јљњџѓќѕѐѝ", "йлнжгкзеи", strict=True)),
    "Kazakh": dict(zip("йщъыьэюяёіәғқңөұүһ", "йщъыьэюяёиагкноуух", strict=True)),
}

#: Pairs that are usual in a language, though the letters they behave like rarely meet. `_` is a
#: border.
USUAL_PAIRS: dict[str, str] = {
    "Ukrainian": "_і і_ _ї _є ії ій ть ьс їх ої її ає ує ює єм ів іл ід ьк",
    "Belarusian": "_і і_ ў_ ць сь дз ўс аў оў еў ія ым іх ый ьц эн рэ дэ",
    "Bulgarian": "_щ ще ът ъл ър ъв",
    "Serbian": "_ј ј_ је ја ју ји иј јо ао ље ља њу ња ње њи ће ћи ћу ђе ђу рд рв рт вр ср тр цр",
    "Macedonian": "_ј ј_ _ќ ја је ји иј ќе ќа ќи ѓе ѓу њу љу ѕв ѕи ао",
}
USUAL_COST = 2.0
#: Letters much rarer than those they behave like, and their additional cost in nats.
SELDOM_LETTERS = "ќѓѕђћљњџѝѐґ"
SELDOM = 1.5
#: Letters of Kazakh, in whose places Slavic code pages have other letters, and their additional
#: cost.
KAZAKH_LETTERS = "әғқңөұүһ"
KAZAKH = 6.0


#: Accented letters of Latin alphabets, each with its share of the letters of a text in thousandths.
_WEST = {
    "French": "é19 à5 è3 ê2.2 ç.9 ù.6 î.5 ô.5 û.4 â.4 œ.3 ë.1 ï.1 ü.05 ÿ.01",
    "German": "ü10 ä5.6 ö4.4 ß3 é.1",
    "Spanish": "ó8.3 í7.2 á5 é4.3 ñ3 ú1.7 ü.1 º.1 ª.1",
    "Portuguese": "ã7.3 ç5.3 ê4.5 é3.4 ó3 ú2 í1.3 á5 à.7 â.6 ô.6 õ.4 º.1 ª.1",
    "Italian": "à6.4 è5 ù1.7 ò3 é2 ì2 î.05",
    "Catalan": "à12 é6 è5 ó6 í6 ò4 ç2 ú2 ï1 ü.3",
    "Swedish": "ä25 å13 ö13 é.2 ü.05",
    "Finnish": "ä36 ö5 å.1 é.05",
    "Danish or Norwegian": "å12 ø9 æ9 é.2 ö.05 ò.1 ô.1",
    "Icelandic": "ð44 á18 í16 þ14 ó10 æ9 ö8 é6.5 ú6 ý2",
    "English": "é.15 ï.1 ë.03 ö.03 ü.06 è.05 ê.02 ç.04 ñ.1 á.03 ó.02 í.02 à.06 â.02 ä.03 å.01 ø.01",
    "Dutch": "ë2.5 é2 ï1 ö.3 ü.2 è.5 ê.5 ç.1 û.1 ô.2 á.1",
    "Irish": "á20 é14 í20 ó12 ú12",
    "Albanian": "ë75 ç8",
    "Latin letters": (
        "é2 è.5 ê.4 ë.4 á1 à.5 â.3 ä.7 å.2 ã.3 í1 ì.2 ï.2 î.2 ó1 ò.3 ô.3 ö.7 õ.2 ø.2 ú.6 ù.2 û.2 "
        "ü.8 ñ1 ç.7 ý.1 æ.2 œ.1 ß.2 º.05 ª.05"
    ),
}
_CENTRAL = {
    "Polish": "ł21 ę11 ó11 ą9 ż9 ś8 ć6 ń4 ź1",
    "Czech": "í31 á21 ě15 é13 ý10 š9 ž10 č10 ř11 ů6 ú2 ň.2 ó.2 ť.4 ď.2",
    "Slovak": "á17 í10 ý11 é9 č10 š9 ž9 ť6 ú8 ľ4 ô2 ň1.5 ď1.5 ä1 ó.5 ĺ.1 ŕ.1",
    "Hungarian": "á39 é45 ö11 ó12 ő9 ü7 í6 ú3 ű2",
    "Romanian": "ă40 î12 â6 ş12 ţ12 ș12 ț12",
    "Croatian or Slovene": "č12 š9 ž7 ć7 đ3",
}
_TURKISH = {"Turkish": "ı51 ü19 ş18 ğ13 ç12 ö8 â.2 î.1"}
_BALTIC = {
    "Lithuanian": "ė17 š12 ž9 į6 ų12 ū5 č5 ą8 ę3",
    "Latvian": "ā38 ē17 ī17 ū6 š11 ļ5 ņ7 ž3 č2 ģ1 ķ1",
    "Estonian": "ä9 õ10 ü7 ö2 š.2 ž.2",
}
LATIN: dict[str, str] = _WEST | _CENTRAL | _TURKISH | _BALTIC

#: Short words without accents, which show the language of a text with few accents.
WORDS: dict[str, str] = {
    "French": "le la les de des du et un une est que qui dans pour pas sur au il ne ce elle en "
    "avec se son sa plus par je vous nous mais on ou sont tout",
    "German": "der die das und ist nicht ein eine zu den mit von sich auf dem ich sie es im als "
    "auch war er wie aus bei nach noch nur oder aber wir einen hat wenn",
    "Spanish": "el la los las de que y en un una es por con no se su para del lo al como pero sus "
    "le me si ya este muy cuando todo",
    "Portuguese": "o os as de que e do da em um uma com no na se por para mais dos como mas foi "
    "ao ele das seu sua ou quando muito",
    "Italian": "il la di che e un una per non in con del della si le lo sono da dei nel al alla "
    "come ma gli anche suo era",
    "Catalan": "el la els les de que i en un una per amb no es al del va com els seu mes tot",
    "Swedish": "och att det som en av den med ett han var inte till hon om sig ut nu hade",
    "Finnish": "ja on ei se oli hun kun mutta sen niin kuin joka ovat jos vain hevosia",
    "Danish or Norwegian": "og det at en er som til den af ikke han jeg med et av de der var hun "
    "sig ud men fra",
    "Icelandic": "og er ekki um sem var hann hun til en af",
    "English": "the of and to in was that is it for he with his her as on at be had by not but "
    "from they she you we this were have are their when or an which one would there been all",
    "Dutch": "de het een en van is niet dat met op te voor zijn in hij ze was er maar om als aan "
    "ook bij die wat nog naar hun nie sy ons hy",
    "Irish": "agus an na ar ag go le don sa is bhí ach nuair mar leis",
    "Albanian": "dhe e i ne me nga se te ka por tij saj kur ishte nuk",
    "Latin letters": "",
    "Polish": "w i na nie z do jest to o jak po co ale tym od za przed nad dla tylko jego",
    "Czech": "a se na je to v do pro za jako ale po byl jsem by ve ze si tak jen kdy pak",
    "Slovak": "a sa na je to v do pre za ako ale po bol som by ich ho len kde potom",
    "Hungarian": "a az egy nem is hogy van volt meg de ez csak mint el mikor majd sem",
    "Romanian": "de la cu nu pe care din un o mai ca este ce sau prin lui dar au",
    "Croatian or Slovene": "i je u se na da za od su nije in v sem pa kako ne kad ali ga ni bi ki",
    "Turkish": "bir ve bu da de ne ben o gibi daha ama en sonra iki var",
    "Lithuanian": "ir kad su bet tai kaip jis yra prie per apie ne",
    "Latvian": "un ir ar no kas par bet tas uz ka to pie",
    "Estonian": "ja on ei et see oli ta ka kui oma ning aga mis",
}

#: Letters of other alphabets, with their shares in hundredths; capitals count as small letters.
_OTHER: dict[str, str] = {
    "Greek": (
        "α10 ο9 ι8 ε8 τ8 ν7 σ5 ς4 η5 υ4 ρ4 π4 κ4 λ3 μ3 ί3 ά3 ό3 έ2 ή2 γ2 δ2 θ1.2 χ1.2 ω2 ώ1 ύ1.5 "
        "φ.9 β.8 ξ.4 ζ.4 ψ.2 ϊ.1 ϋ.05 ΐ.05 ΰ.02"
    ),
    "Hebrew": (
        "י11 ו10 ה10 ל7 א6 ר6 ת6 ש5 מ5 ב5 נ4 ם3 ח3 ד3 ע3 ק2 כ2 פ2 ט1.3 ג1.3 צ1.2 ן1.2 ס1.5 ז1 ך.8 "
        "ף.3 ץ.2"
    ),
    "Arabic": (
        "ا13 ل11 ي7 م6 و6 ن6 ر5 ت5 ب4 ة4 ع4 د3 س3 ف3 ه3 ك2.5 ق2.5 أ2.5 ح2 ج1.5 ش1.2 ص1 ى1 خ1 إ1 ط1 "
        "ذ.7 ز.7 ض.7 ث.6 غ.5 ئ.5 ء.4 ظ.3 ؤ.2 آ.2 ،1"
    ),
    "Thai": (
        "า8 น7 ร7 อ5 ก5 เ5 ง5 ม4 ย4 ว4 ล4 ท3 ่5 ้4 ั4 ี3 ด3 ส3 ต3 ิ2.5 ค2.5 ์2 ห3 ะ2 ป2 บ2 จ2 แ2 ไ1.7 "
        "พ1.8 ข1.5 ใ1.2 ใ1 โ1 ช1.5 ุ1.2 ู1 ำ1 ื1.2 ถ1 ผ.7 ซ.6 ณ.5 ็.6 ธ.5 ศ.5 ญ.4 ภ.4 ษ.3 ึ.4 ฐ.2 ฟ.3 "
        "ฝ.1 ฒ.05 ฏ.05 ฎ.03 ฉ.1 ฮ.1 ฬ.05 ๆ.2 ฯ.05"
    ),
}
#: Forms of letters at the end of a word.
FINAL_FORMS = "ςםןףץך"
#: Languages that have apostrophes within words.
APOSTROPHES = ("English", "French", "Italian", "Catalan", "Irish", "Albanian", "Latin letters")

WEST, TURKISH, BALTIC = tuple(_WEST), tuple(_TURKISH), tuple(_BALTIC)
CENTRAL = (*_CENTRAL, "German")
ALL_CYRILLIC = tuple(language for language in CYRILLIC if language != "Kazakh")

#: Encodings of one byte per character: the cost of each before anything is read (its prior), in
#: nats, and the languages it was made for.
TABLES: dict[str, tuple[float, tuple[str, ...]]] = {
    "cp1251": (0.0, ALL_CYRILLIC),
    "koi8_r": (0.7, ("Russian", "Bulgarian")),
    "koi8_u": (1.2, ("Ukrainian", "Belarusian", "Russian")),
    "cp866": (1.0, ("Russian", "Bulgarian")),
    "cp1125": (2.5, ("Ukrainian",)),
    "mac_cyrillic": (2.0, ALL_CYRILLIC),
    "iso8859_5": (2.0, ALL_CYRILLIC),
    "cp1252": (0.2, WEST),
    "iso8859_15": (2.5, WEST),
    "mac_roman": (3.5, WEST),
    "cp850": (3.0, WEST),
    "cp437": (3.5, WEST),
    "cp1250": (1.2, CENTRAL),
    "iso8859_2": (1.7, CENTRAL),
    "cp852": (3.0, CENTRAL),
    "mac_latin2": (4.5, CENTRAL),
    "cp1254": (1.7, TURKISH),
    "cp857": (4.0, TURKISH),
    "cp1257": (2.0, BALTIC),
    "iso8859_13": (4.0, BALTIC),
    "cp775": (4.0, BALTIC),
    "cp1253": (7.0, ("Greek",)),
    "iso8859_7": (7.5, ("Greek",)),
    "cp737": (9.0, ("Greek",)),
    "cp1255": (8.0, ("Hebrew",)),
    "cp1256": (8.0, ("Arabic",)),
    "cp874": (8.0, ("Thai",)),
}

#: Rare encodings, in the same form; they are tried if none of the others is convincing.
SELDOM_TABLES: dict[str, tuple[float, tuple[str, ...]]] = {
    "cp855": (4.0, ("Russian", "Bulgarian", "Serbian", "Macedonian")),
    "ptcp154": (8.0, ("Kazakh",)),
    "kz1048": (7.0, ("Kazakh",)),
    "iso8859_16": (9.0, CENTRAL),
    "mac_romanian": (9.0, ("Romanian",)),
    "mac_turkish": (9.0, TURKISH),
    "mac_iceland": (9.0, ("Icelandic",)),
    "cp860": (9.0, ("Portuguese",)),
    "cp861": (9.0, ("Icelandic",)),
    "iso8859_4": (9.0, BALTIC),
    "cp869": (9.5, ("Greek",)),
    "mac_greek": (10.0, ("Greek",)),
    "iso8859_8": (9.0, ("Hebrew",)),
    "cp862": (9.5, ("Hebrew",)),
    "iso8859_6": (9.0, ("Arabic",)),
    "cp720": (10.0, ("Arabic",)),
}

#: East Asian encodings: the prior, the language, the character set that defines the common
#: characters, and their lead bytes in it (level 1 of JIS X 0208, GB 2312, Big5; all of KS X 1001).
EAST_ASIAN: dict[str, tuple[float, str, str, range]] = {
    "gb18030": (3.5, "Chinese (simplified)", "gb2312", range(0xB0, 0xD8)),
    "big5": (4.0, "Chinese (traditional)", "big5", range(0xA4, 0xC7)),
    "cp932": (3.5, "Japanese", "shift_jis", range(0x88, 0x98)),
    "euc_jp": (4.0, "Japanese", "euc_jp", range(0xB0, 0xD0)),
    "cp949": (3.5, "Korean", "euc_kr", range(0xB0, 0xC9)),
}


def letter_shares(language: str) -> dict[str, float]:
    """Return the share of each letter beyond ASCII in a language that is not Cyrillic."""
    shares, scale = (LATIN[language], 1000.0) if language in LATIN else (_OTHER[language], 100.0)
    return {part[0]: float(part[1:]) / scale for part in shares.split()}
