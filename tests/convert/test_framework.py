"""TensorFlow is loaded quietly, late, and without what nobody has asked for."""

import subprocess
import sys


def fresh(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def test_a_conversion_needs_no_onnx_tf():
    seen = fresh(
        "import sys, onnx; from nbhelpers import convert\n"
        "sys.modules['onnx_tf'] = None  # as where it is not installed\n"
        "m = onnx.parser.parse_model('<ir_version: 8, opset_import: [\"\" : 17]> '\n"
        "  'g (float[N, 2] x) => (float[N, 2] y) { y = Relu(x) }')\n"
        "print(convert.preflight(m).ok, convert.onnx2tf(m, None, verify=False).outputs)"
    )
    assert seen.stdout.strip() == "True {'y': 'y:0'}"


def test_what_only_a_proof_needs_is_loaded_for_a_proof():
    seen = fresh(
        "import sys, onnx; from nbhelpers import convert\n"
        "m = onnx.parser.parse_model('<ir_version: 8, opset_import: [\"\" : 17]> '\n"
        "  'g (float[N, 2] x) => (float[N, 2] y) { y = Relu(x) }')\n"
        "convert.onnx2tf(m, None, verify=False)\n"
        "names = ('onnxruntime', 'onnx.reference', 'onnx.backend.test')\n"
        "print([name for name in names if name in sys.modules])"
    )
    assert seen.stdout.strip() == "[]"


def test_keras_comes_when_it_is_asked_for():
    seen = fresh(
        "import sys, onnx; from nbhelpers import convert\n"
        "m = onnx.parser.parse_model('<ir_version: 8, opset_import: [\"\" : 17]> '\n"
        "  'g (float[N, 2] x) => (float[N, 2] y) { y = Relu(x) }')\n"
        "convert.onnx2tf(m, None)\n"
        "names = ('keras', 'pandas', 'matplotlib', 'IPython')\n"
        "print([name for name in names if name in sys.modules])\n"
        "import tensorflow as tf\n"
        "from tensorflow.keras import layers\n"
        "from tensorflow.keras.layers import Dense\n"
        "model = tf.keras.Sequential([layers.Input((4,)), Dense(3)])\n"
        "model.compile(tf.keras.optimizers.Adam(), 'mse')\n"
        "model.fit(tf.ones((2, 4)), tf.ones((2, 3)), verbose=0)\n"
        "print(model(tf.ones((2, 4))).shape)"
    )
    assert seen.stdout.split("\n")[:2] == ["[]", "(2, 3)"]


def test_importing_the_package_loads_no_tensorflow():
    seen = fresh("import sys, nbhelpers.convert; print('tensorflow' in sys.modules)")
    assert seen.stdout.strip() == "False"


def test_a_conversion_is_silent():
    code = (
        "from nbhelpers import convert; import onnx\n"
        'm = onnx.parser.parse_model(\'<ir_version: 7, opset_import: ["" : 13]> '
        "g (float[N, 2] x) => (float[N, 2] y) { y = Hardmax(x) }')\n"
        "convert.onnx2tf(m, None)"
    )
    done = fresh(code)
    assert (done.stdout, done.stderr) == ("", "")
