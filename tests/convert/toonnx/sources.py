"""TensorFlow graphs and models that several tests convert."""

from nbhelpers import convert
from tests.convert.models import seeded

tf = convert.tensorflow()
v1 = tf.compat.v1

OLD = {"inputs": {"pictures": "images"}, "fixed": {"keep_prob": 1.0}}


def two_heads(**options):
    import keras

    keras.utils.set_random_seed(0)
    images = keras.Input((21, 18, 3), name="images", **options)
    hidden = keras.layers.Conv2D(8, 3, strides=2, padding="same", name="conv")(images)
    hidden = keras.layers.BatchNormalization(name="norm")(hidden)
    hidden = keras.layers.Dropout(0.5)(keras.layers.LeakyReLU()(hidden))
    pooled = keras.layers.GlobalMaxPooling2D()(hidden)
    digit = keras.layers.Dense(10, name="digit")(pooled)
    mask = keras.layers.Conv2DTranspose(2, 3, strides=2, name="mask")(hidden)
    model = keras.Model(images, [mask, digit])
    model.get_layer("norm").set_weights([seeded(8, seed=n) ** 2 + 0.1 for n in range(4)])
    return model


def graph(make):
    """Return the GraphDef that a function builds."""
    with tf.Graph().as_default() as made:
        make()
    return made.as_graph_def()


def fixed_batch(shape):
    def make():
        x = v1.placeholder(tf.float32, [2, 5, 7, 3], name="x")
        maps = tf.nn.conv2d(x, seeded(3, 3, 3, 4), 2, "SAME")
        tf.reshape(maps, shape, name="y")

    return graph(make)
