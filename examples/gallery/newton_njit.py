"""
Newton's method inside of Numba
===============================

The price of an option follows from the volatility of what it is on. The other way round there is no formula: the
*implied* volatility of a price is found by Newton's method, which needs the price and its derivative by the volatility
at every step. Here both come from a few lines of NumPy. They are compiled to one function, which a loop under
``numba.njit`` calls: for 12,500 options, eight steps each, with no Python in between.
"""

# %%
# The price
# ---------
# Black and Scholes' formula for a call, as one would write it with NumPy. Volatilities are for a year, `t` is in years.

import time

import matplotlib.pyplot as plt
import numba
import numpy

import nbgrad as ng
from nbgrad.scipy.special import ndtr


def price(volatility, spot, strike, t):
    spread = volatility * numpy.sqrt(t)
    d = numpy.log(spot / strike) / spread + 0.5 * spread
    return spot * ndtr(d) - strike * ndtr(d - spread)


# %%
# Compiled for Numba
# ------------------
# ``njit`` takes an example of the arguments, which says what their dtypes are.

price_and_slope = ng.jit(ng.value_and_grad(price)).njit(0.2, 100.0, 100.0, 1.0)
print(price_and_slope(0.2, 100.0, 110.0, 0.5))

# %%
# Newton's method
# ---------------
# A function of one's own, with loops and branches as Numba likes them.


@numba.njit
def implied(prices, spot, strikes, times, steps):
    found = numpy.full(prices.shape, 0.5)
    for i in range(prices.size):
        for _ in range(steps):
            value, slope = price_and_slope(found[i], spot, strikes[i], times[i])
            found[i] -= (value - prices[i]) / slope
    return found


# %%
# A market with a smile: far from the spot, and soon, volatility is higher.

rng = numpy.random.default_rng(0)
spot, count = 100.0, 12_500
strikes, times = spot * numpy.exp(rng.uniform(-0.25, 0.25, count)), rng.uniform(0.2, 2.0, count)
smile = 0.2 + 0.5 * numpy.log(strikes / spot) ** 2 / numpy.sqrt(times) - 0.1 * numpy.log(strikes / spot)
prices = numpy.asarray(price(ng.asarray(smile), spot, strikes, times))

implied(prices[:1], spot, strikes[:1], times[:1], 1)  # Numba compiles the loop
start = time.perf_counter()
found = implied(prices, spot, strikes, times, 8)
seconds = time.perf_counter() - start
print(f"{count * 8:,} gradients in {seconds * 1e3:.1f} ms: {seconds / count / 8 * 1e9:.0f} ns each")
print(f"largest error {numpy.abs(found - smile).max():.1e}")

# %%
# How that compares
# -----------------
# The same gradient as a function that Python calls costs some microseconds a call, most of which is the call. That is
# so for every library whose compiled functions are reached through Python: the loop around them is the slow part. On
# one machine (AMD Zen 3, one core) a gradient took 0.07 us in the loop, 0.74 us from Python, and 12.9 us as a jitted
# gradient of JAX 0.10.2 from Python: 180 times as long. If JAX is installed, it is measured here, too.

jitted = ng.jit(ng.value_and_grad(price))
arguments = [ng.asarray(v) for v in (0.2, spot, strikes[0], times[0])]
jitted(*arguments)
start = time.perf_counter()
for _ in range(2000):
    jitted(*arguments)
from_python = (time.perf_counter() - start) / 2000
each = {"nbgrad, in the @njit loop": seconds / count / 8, "nbgrad, from Python": from_python}
try:
    import jax

    jax.config.update("jax_enable_x64", True)

    def jax_price(volatility, spot, strike, t):
        spread = volatility * jax.numpy.sqrt(t)
        d = jax.numpy.log(spot / strike) / spread + 0.5 * spread
        return spot * jax.scipy.special.ndtr(d) - strike * jax.scipy.special.ndtr(d - spread)

    theirs = jax.jit(jax.value_and_grad(jax_price))
    theirs(0.2, spot, strikes[0], times[0])
    start = time.perf_counter()
    for _ in range(2000):
        value, slope = theirs(0.2, spot, strikes[0], times[0])
    each["JAX, from Python"] = (time.perf_counter() - start) / 2000
except ImportError:
    print("JAX is not installed here")
for name, cost in each.items():
    print(f"{name}: {cost * 1e6:.3f} us a gradient")

# %%

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
soon = times < 0.5
for mask, label in ((soon, "within half a year"), (~soon, "later")):
    left.plot(strikes[mask], found[mask], ".", markersize=2, label=label)
left.set(xlabel="strike", ylabel="implied volatility", title="12,500 options")
left.legend(markerscale=5)
right.barh(
    list(each), [cost * 1e6 for cost in each.values()], color=["tab:green", "tab:blue", "tab:orange"][: len(each)]
)
right.set(xscale="log", xlim=(0.01, 30), xlabel="microseconds a gradient", title="price and slope of one option")
right.invert_yaxis()
plt.show()
