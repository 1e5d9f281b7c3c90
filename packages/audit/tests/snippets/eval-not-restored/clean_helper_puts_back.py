import contextlib

import torch


def predict(model, x):
    was = model.training
    model.eval()
    try:
        return model(x)
    finally:
        model.train(was)


def sample(model, x):
    model.eval()
    y = model(x)
    model.train()
    return y


@contextlib.contextmanager
def evaluating(model):
    was_training = model.training
    model.eval()
    yield model
    model.train(was_training)
