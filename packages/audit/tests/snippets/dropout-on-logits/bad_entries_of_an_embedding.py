from torch import nn


class Tracing(nn.Module):
    def __init__(self, num_q, width):
        super().__init__()
        self.num_q = num_q
        self.emb = nn.Embedding(self.num_q * 2, width)
        self.rnn = nn.LSTM(width, width, batch_first=True)
        self.out = nn.Linear(width, self.num_q)
        self.drop = nn.Dropout(0.5)

    def forward(self, q):
        h, _ = self.rnn(self.emb(q))
        return self.drop(self.out(h))  #! dropout-on-logits advice
