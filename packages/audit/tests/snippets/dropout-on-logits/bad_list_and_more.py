from torch import nn


class Classifier(nn.Module):
    def __init__(self, config, depth=1):
        super().__init__()
        layers = [nn.Linear(config.width, config.width) for _ in range(depth - 1)]
        layers += [nn.Linear(config.width, config.num_labels)]
        self.classifier = nn.Sequential(*layers, nn.Dropout(0.1))  #! dropout-on-logits advice

    def forward(self, x):
        return self.classifier(x)
