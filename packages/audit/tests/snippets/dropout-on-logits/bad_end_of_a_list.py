from torch import nn


def mlp(size, num_classes):
    layers = [nn.Linear(size, 3), nn.ReLU()]
    layers.append(nn.Linear(3, num_classes))
    layers.append(nn.Dropout(0.2))  #! dropout-on-logits advice
    return nn.Sequential(*layers)


class Decoder(nn.Module):
    def __init__(self, vocab_size, size):
        super().__init__()
        self.rnn = nn.GRU(size, size)
        self.out = nn.Linear(size, vocab_size)
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        y, h = self.rnn(x)
        y = self.drop(self.out(y))  #! dropout-on-logits advice
        return y, h

    def first(self, x):
        y = self.drop(self.out(x))  #! dropout-on-logits advice
        return y.squeeze(0)
