#! path: src/config.py
class Config:
    def __init__(self, dim=8, dropout=0.1):
        self.dim = dim
