from torch import nn


class Graphs(nn.Module):
    def __init__(self, layers, size, outputs):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(size, size) for _ in range(layers)])
        self.linears_prediction = nn.ModuleList()
        for _ in range(layers):
            self.linears_prediction.append(nn.Linear(size, outputs))
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        score = 0
        for i, layer in enumerate(self.layers):
            x = layer(x).relu()
            score += self.drop(self.linears_prediction[i](x))  #! dropout-on-logits advice
        return score
