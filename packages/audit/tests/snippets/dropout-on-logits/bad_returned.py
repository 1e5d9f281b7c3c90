from torch import nn


def make_classifier(width, num_classes, p):
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, num_classes), nn.Dropout(p))  #! dropout-on-logits advice
