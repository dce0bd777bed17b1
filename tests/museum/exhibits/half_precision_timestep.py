"""The network is told the time in its weights' dtype.

In bfloat16 967 is 968, and a cast of all inputs to the weights' dtype is one tidy line: https://github.com/modelscope/DiffSynth-Studio/issues/562,
https://github.com/kohya-ss/musubi-tuner/pull/729. Float32 weights hide it.
"""

from museum.plant import instead_of


@instead_of("model:JanusFlow.encode")
def encode(self, z, t):
    timestep = (1000 * t).to(self.dtype).float()
    return self.vision_gen_enc_model(z.to(self.dtype), timestep.to(z.device).expand(len(z)))
