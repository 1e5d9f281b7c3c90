from torch import nn

config = {"model": {"layers": 1, "rate": 0.3}, "seed": 1}


class ByKey(nn.Module):
    def __init__(self, config):
        super().__init__()
        config = config["model"]
        rate = config["rate"]
        self.rnn = nn.LSTM(8, 8, config["layers"], dropout=rate)  #! rnn-dropout-without-effect advice


class ByGet(nn.Module):
    def __init__(self, **kwargs):
        super().__init__()
        self.num_layers = kwargs.get("num_layers", 1)
        self.rnn = nn.GRU(
            8,
            8,
            num_layers=self.num_layers,
            dropout=kwargs.get("dropout", 0.2),  #! rnn-dropout-without-effect advice
        )
