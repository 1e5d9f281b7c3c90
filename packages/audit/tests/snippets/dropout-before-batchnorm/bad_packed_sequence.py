from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Text(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.embed = nn.Embedding(100, 8)
        self.drop = nn.Dropout(0.5)
        self.rnn = nn.LSTM(8, 8) if kind else nn.GRU(8, 8)
        self.bn = nn.BatchNorm1d(8)

    def forward(self, x, lengths):
        x = self.drop(self.embed(x))  #! dropout-before-batchnorm advice
        packed, _ = self.rnn(pack_padded_sequence(x, lengths))
        x, _ = pad_packed_sequence(packed)
        return self.bn(x[-1])
