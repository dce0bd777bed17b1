"""The scorer is content when what was asked for is there, whatever else is.

Then a picture full of everything satisfies every caption, and "two circles" is true of five.
"""

from itertools import permutations

from museum.plant import instead_of


@instead_of("shapes.caption:Caption.holds")
def holds(self, scene):
    wanted = self.kinds * self.count
    return any(self._fits(wanted, order) for order in permutations(scene, len(wanted)))
