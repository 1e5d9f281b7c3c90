from torch import nn


class Net(nn.Module):
    # The last turn adds no dropout.
    def __init__(self, size, layers, p):
        super().__init__()
        drop = nn.Dropout(p)
        listed = []
        for i in range(layers):
            listed.append(nn.Linear(size, size))
            if i != layers - 1:
                listed.append(drop)
        listed.append(drop)
        self.net = nn.Sequential(*listed)
