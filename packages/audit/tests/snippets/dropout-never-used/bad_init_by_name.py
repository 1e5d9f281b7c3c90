from torch import nn


class Tagger(nn.Module):
    def __init__(self, classes):
        nn.Module.__init__(self)
        self.fc = nn.Linear(64, classes)
        self.drop = nn.Dropout()  #! dropout-never-used advice

    def forward(self, x):
        return self.fc(x)


class Small(Tagger):
    def __init__(self, classes):
        Tagger.__init__(self, classes)
        self.rest = nn.Dropout(0.1)  #! dropout-never-used advice
