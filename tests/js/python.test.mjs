import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fieldOf } from "../../docs/flowlab/field.mjs";
import { straightness } from "../../docs/flowlab/measure.mjs";
import { euler, path } from "../../docs/flowlab/solvers.mjs";
import { near } from "./near.mjs";

const python = JSON.parse(readFileSync(new URL("fixture.json", import.meta.url), "utf-8"));
const field = fieldOf(python.data);

test("the field is the one that drew the chapter's figures", () => {
  for (const [i, t] of python.times.entries())
    for (const [j, z] of python.places.entries())
      for (const axis of [0, 1]) near(field(z, t)[axis], python.velocities[i][j][axis], 1e-9);
});

test("Euler takes the package's steps", () => {
  for (const [n, places] of python["euler, 8 steps"].entries())
    for (const [k, place] of path(field, python.noise[n], 8, euler).entries())
      for (const axis of [0, 1]) near(place[axis], places[k][axis], 1e-9);
});

test("straightness is what the chapter on few steps calls by this name", () => {
  const paths = python.noise.map((/** @type {import("../../docs/flowlab/field.mjs").Point} */ z) =>
    path(field, z, 100, euler),
  );
  near(straightness(paths), python["straightness, 100 steps"], 1e-4);
});
