"""16. Write the piece: guidance and the Euler step."""


def guide(v_cond, v_uncond, weight):
    return v_uncond + weight * (v_cond - v_uncond)


def euler_step(z, v, t, t_next):
    return z + v * (t_next - t)
