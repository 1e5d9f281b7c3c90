from contextlib import contextmanager


@contextmanager
def evaluating(model):
    was = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was)


def fit(model, loader, optimizer, x):
    model.train()
    for batch, y in loader:
        loss = (model(batch) - y).square().mean()
        loss.backward()
        optimizer.step()
        with evaluating(model):
            print(model(x))
