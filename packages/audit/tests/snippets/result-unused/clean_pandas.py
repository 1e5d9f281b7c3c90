import pandas as pd
from torch import nn


class Data(nn.Module):
    def forward(self, frame: pd.DataFrame):
        frame.dropna(inplace=True)
        frame.drop(columns=["dropout"], inplace=True)
        return frame
