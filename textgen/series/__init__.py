"""Series of numbers: reading one, training a recurrent network on it by squared error, going on.

The counterpart of a language model for numbers: a number goes in as it is, scaled, and the network
answers with the next one. Works in float64 throughout.
"""
