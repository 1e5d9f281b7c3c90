from torch import nn


def make_rnn(kind, **kwargs):
    rnn = getattr(nn, kind)(**kwargs)
    return rnn


def encoder(rnn_type, rate):
    return make_rnn(
        rnn_type,
        input_size=8,
        hidden_size=8,
        num_layers=1,
        dropout=rate,  #! rnn-dropout-without-effect advice
    )
