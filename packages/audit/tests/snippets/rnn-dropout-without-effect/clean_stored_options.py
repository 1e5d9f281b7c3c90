from types import SimpleNamespace

from torch import nn

config = {"layers": 1, "rate": 0.3}
large_config = {"layers": 2, "rate": 0.3}
args = SimpleNamespace(depth=1, rate=0.3)
args.depth = 3


class TwoConfigurations(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.rnn = nn.LSTM(8, 8, config["layers"], dropout=config["rate"])


class Changed(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.rnn = nn.LSTM(8, 8, args.depth, dropout=args.rate)


class TwoByDefault(nn.Module):
    def __init__(self, **kwargs):
        super().__init__()
        self.rnn = nn.LSTM(8, 8, kwargs.get("size", 2), dropout=kwargs.get("p", 0.2))


class Off(nn.Module):
    def __init__(self, **kwargs):
        super().__init__()
        self.rnn = nn.LSTM(8, 8, kwargs.get("n", 1), dropout=kwargs.get("off", 0.0))
