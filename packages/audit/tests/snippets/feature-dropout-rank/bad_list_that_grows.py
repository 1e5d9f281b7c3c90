from torch import nn


class Net(nn.Module):
    def __init__(self, sizes, p):
        super().__init__()
        layers = []
        for a, b in zip(sizes, sizes[1:]):
            layers.append(nn.Linear(a, b))
            layers.append(nn.ReLU())
            layers.append(nn.Dropout2d(p))  #! feature-dropout-rank advice
        self.net = nn.Sequential(*layers)
        self.words = nn.Embedding(100, 8)
        self.conv = nn.Conv2d(8, 8, 3)
        self.drop = nn.Dropout2d(p)

    def forward(self, x, words, image):
        y = self.drop(self.words(words))  #! feature-dropout-rank advice
        z = self.drop(self.conv(image).mean([2, 3]))  #! feature-dropout-rank advice
        return self.net(x), y, z
