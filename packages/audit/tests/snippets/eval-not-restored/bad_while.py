def fit(self, loader):
    self.model.train()
    while self.step < self.steps:
        loss = self.model(next(loader))
        loss.backward()
        self.optimizer.step()
        self.step += 1
        if self.step % self.every == 0:
            self.model.eval()  #! eval-not-restored advice
            self.report(self.model)
