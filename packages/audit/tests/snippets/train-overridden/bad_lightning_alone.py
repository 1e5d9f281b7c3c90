import lightning as L


class Net(L.LightningModule):
    def train(self):  #! train-overridden
        self.fit_loop = True
        return super().train()
