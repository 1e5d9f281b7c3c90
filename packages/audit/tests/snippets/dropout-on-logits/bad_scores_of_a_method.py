import torch
from torch import nn


class Decoder(nn.Module):
    def __init__(self, size, embedding):
        super().__init__()
        self.embedding = embedding
        self.cell = nn.GRUCell(size, size)
        self.linear = nn.Linear(size, size)
        self.dropout = nn.Dropout(0.3)

    def forward(self, inputs, state, scored=False):
        outputs = []
        for x in inputs:
            state = self.cell(x, state)
            output = state
            if scored:
                output = self.compute_score(output)
            output = self.dropout(output)  #! dropout-on-logits advice
            outputs += [output]
        return torch.stack(outputs), state

    def compute_score(self, hidden):
        scores = torch.matmul(self.linear(hidden), self.embedding.weight.t())
        return scores
