import pandas as pd


def fit(frame: pd.DataFrame, model, loader, optimizer):
    for x, y in loader:
        loss = (model(x) - y).square().mean()
        loss.backward()
        optimizer.step()
        frame.eval("a = b + c", inplace=True)
