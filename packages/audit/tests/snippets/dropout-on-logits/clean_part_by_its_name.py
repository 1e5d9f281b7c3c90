from torch import nn

embed = nn.Sequential(nn.Linear(8, 4), nn.Dropout(0.2))
encoder = nn.Sequential(nn.Linear(8, 4), nn.Dropout(0.2))
decoder = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2))
backbone = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Dropout2d(0.2))
criterion = nn.MSELoss()


def loss(x):
    return criterion(decoder(encoder(x)), x)


class Layer(nn.Module):
    def __init__(self, d, num_classes):
        super().__init__()
        self.class_embed = nn.Linear(d, d)
        self.label = nn.Linear(num_classes, d)
        self.drop = nn.Dropout(0.1)

    def forward(self, x, y):
        label_scores_emb = self.drop(self.label(y))
        return self.drop(self.class_embed(x)) + label_scores_emb
