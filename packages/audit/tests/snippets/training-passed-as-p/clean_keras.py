import keras


class Net(keras.Model):
    def call(self, x, training=False):
        return keras.layers.Dropout(0.5)(x, training)
