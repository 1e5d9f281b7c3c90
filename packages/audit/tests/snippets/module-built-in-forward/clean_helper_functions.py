from torch import nn


def make_head(d, p):
    return nn.Sequential(nn.Linear(d, d), nn.Dropout(p))


def train_step(model, x, p):
    return nn.Dropout(p)(model(x))


def augmented(x, p, training):
    return nn.Dropout(p)(x) if training else x


def replaced(model, p):
    drop = nn.Dropout(p)
    model.drop = drop
    return model


def mc_dropout(x, p):
    return nn.Dropout(p)(x)


def set_mode(x, like):
    drop = nn.Dropout(0.1)
    drop.train(like.training)
    return drop(x)
