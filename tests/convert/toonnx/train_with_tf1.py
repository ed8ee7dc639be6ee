"""Train a little with TensorFlow 1 and write the usual files of a training: `python … folder`.

They are a checkpoint with its graph, a SavedModel with two signatures, and TensorFlow's own
outputs. The script runs on TensorFlow 1.4 and Python 3.6, and on newer ones.
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow

tf = tensorflow if tensorflow.__version__.startswith("1.") else tensorflow.compat.v1


def network(jpeg):
    """Old habits: image decoding in the graph, batch norm with a switch, dropout with keep_prob."""
    picture = tf.cast(tf.image.decode_jpeg(jpeg, channels=3), tf.float32)
    decoded = tf.expand_dims(tf.image.resize_bilinear([picture], [24, 20])[0] / 255.0, 0)
    images = tf.placeholder_with_default(decoded, [None, 24, 20, 3], name="images")
    training = tf.placeholder_with_default(False, [], name="training")
    keep = tf.placeholder(tf.float32, [], name="keep_prob")
    weights = tf.get_variable("conv/weights", [3, 3, 3, 8])
    hidden = tf.nn.conv2d(images, weights, [1, 2, 2, 1], "SAME", name="conv/conv")
    scale = tf.get_variable("norm/gamma", [8], initializer=tf.random_uniform_initializer(0.5, 1.5))
    offset = tf.get_variable("norm/beta", [8], initializer=tf.random_normal_initializer())
    mean = tf.get_variable("norm/moving_mean", [8], initializer=tf.random_normal_initializer())
    variance = tf.get_variable(
        "norm/moving_variance", [8], initializer=tf.random_uniform_initializer(0.5, 2.0)
    )

    def seen():
        return tf.nn.fused_batch_norm(hidden, scale, offset, is_training=True)[0]

    def known():
        return tf.nn.fused_batch_norm(hidden, scale, offset, mean, variance, is_training=False)[0]

    normal = tf.cond(training, seen, known, name="norm/switch")
    active = tf.nn.relu(normal, name="active")
    pooled = tf.nn.max_pool(active, [1, 2, 2, 1], [1, 2, 2, 1], "SAME", name="pool")
    flat = tf.nn.dropout(tf.reshape(pooled, [-1, 6 * 5 * 8]), keep)
    logits = tf.matmul(flat, tf.get_variable("logits/weights", [240, 10]), name="logits")
    return images, keep, active, logits, tf.nn.softmax(logits, name="scores")


def main(folder):
    if tf is not tensorflow:
        tf.disable_eager_execution()
    tf.set_random_seed(0)
    jpeg = tf.placeholder(tf.string, [], name="jpeg")
    images, keep, active, logits, scores = network(jpeg)
    labels = tf.placeholder(tf.int64, [None], name="labels")
    loss = tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    )
    step = tf.train.AdamOptimizer(0.01).minimize(loss)
    saver = tf.train.Saver()
    draw = np.random.RandomState(0)
    given = draw.standard_normal([5, 24, 20, 3]).astype(np.float32)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        # TensorFlow 1.15 requires this feed even if nothing reads it.
        fed = {jpeg: session.run(tf.image.encode_jpeg(tf.zeros([8, 8, 3], tf.uint8)))}
        fed[images] = given
        for _ in range(3):
            session.run(step, {**fed, keep: 0.5, labels: draw.randint(0, 10, [5])})
        saver.save(session, os.path.join(folder, "model.ckpt"), global_step=3)
        results = session.run([active, logits, scores], {**fed, keep: 1.0})
        info = tf.saved_model.utils.build_tensor_info
        sign = tf.saved_model.signature_def_utils.build_signature_def
        named = {"pictures": info(images), "keep": info(keep)}
        builder = tf.saved_model.builder.SavedModelBuilder(os.path.join(folder, "saved"))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {
                "classify": sign(named, {"classes": info(scores)}, "tensorflow/serving/predict"),
                "features": sign(named, {"maps": info(active)}, "tensorflow/serving/predict"),
            },
        )
        builder.save()
    active, logits, scores = results
    np.savez(
        os.path.join(folder, "golden.npz"),
        images=given,
        active=active,
        logits=logits,
        scores=scores,
    )
    print(tensorflow.__version__)


if __name__ == "__main__":
    main(sys.argv[1])
