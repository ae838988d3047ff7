"""Looking inside a model: traces, neurons, surprise. Plain data; knows no terminal and no torch.

trace         a text and a network -> named arrays of states and gates
neurons       what each neuron does over a text, and what it follows
view          what colours a text: neurons, surprise, influence
memory        how far back a model remembers
gates         for how much of a text the gates are closed or open
similar       where in a corpus the state is like that after a text
page_data     what one page for a browser shows of a text
"""
