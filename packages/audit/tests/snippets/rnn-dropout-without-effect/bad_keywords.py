from torch import nn


class Encoder(nn.Module):
    def __init__(self, vocabulary, size):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, size)
        self.rnn = nn.GRU(input_size=size, hidden_size=size, dropout=0.2, batch_first=True)  #! rnn-dropout-without-effect
