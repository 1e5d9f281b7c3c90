from torch import nn


class Net(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        body = nn.Sequential()

        def block(i, norm, drop):
            body.add_module(f"conv{i}", nn.Conv2d(d, d, 3))
            if norm:
                body.add_module(f"bn{i}", nn.BatchNorm2d(d))
            if drop is not None:
                body.add_module(f"drop{i}", nn.Dropout(drop))  #! dropout-before-batchnorm advice

        for i in range(n):
            block(i, True, p)
        self.body = body

    def forward(self, x):
        return self.body(x)
