import tensorflow as tf


class Net(tf.keras.Model):
    def call(self, x):
        return tf.nn.dropout(x, rate=0.5)
