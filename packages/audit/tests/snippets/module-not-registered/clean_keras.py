import keras


class Net(keras.Model):
    def __init__(self, n):
        super().__init__()
        # Keras tracks lists.
        self.drops = [keras.layers.Dropout(0.1) for _ in range(n)]
