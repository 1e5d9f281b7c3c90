def fit(model, step):
    model.train()
    for i in range(10):
        step(model, i)
