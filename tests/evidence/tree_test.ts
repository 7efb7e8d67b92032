/** The Merkle tree, against test vectors of RFC 6962's reference implementation. */

import assert from "node:assert/strict";
import {
  emptyRoot,
  leafHash,
  MerkleTree,
  nodeHash,
  rootFromProof,
  rootOf,
  split,
} from "../../src/evidence/tree.ts";

const LEAVES = [
  "",
  "00",
  "10",
  "2021",
  "3031",
  "40414243",
  "5051525354555657",
  "606162636465666768696a6b6c6d6e6f",
];
const ROOTS = [
  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
  "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
  "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
  "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

Deno.test("the tree's roots are those of the known vectors, at each size", () => {
  assert.equal(emptyRoot().toHex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const tree = new MerkleTree();
  assert.deepEqual(tree.root(), emptyRoot());
  for (const [index, leaf] of LEAVES.entries()) {
    tree.append(leafHash(Uint8Array.fromHex(leaf)));
    assert.equal(tree.size, index + 1);
    assert.equal(tree.root().toHex(), ROOTS[index]);
  }
});

/** An inclusion proof, as RFC 6962 defines it. */
function proofOf(hashes: readonly Uint8Array[], index: number): Uint8Array[] {
  if (hashes.length < 2) return [];
  const half = split(hashes.length);
  const [left, right] = [hashes.slice(0, half), hashes.slice(half)];
  return index < half
    ? [...proofOf(left, index), rootOf(right)]
    : [...proofOf(right, index - half), rootOf(left)];
}

Deno.test("a proof of each leaf leads to the root, and a changed or longer one does not", () => {
  const hashes = Array.from({ length: 40 }, (_, index) => leafHash(new Uint8Array([index])));
  for (let size = 1; size <= hashes.length; size++) {
    const root = rootOf(hashes.slice(0, size));
    for (let index = 0; index < size; index++) {
      const proof = proofOf(hashes.slice(0, size), index);
      assert.deepEqual(rootFromProof(hashes[index]!, index, size, proof), root);
      assert.equal(rootFromProof(hashes[index]!, index, size, [...proof, root]), undefined);
      if (size > 1) {
        assert.equal(rootFromProof(hashes[index]!, index, size, proof.slice(1)), undefined);
        const other = rootFromProof(hashes[index]!, index, size, [nodeHash(root, root), ...proof.slice(1)]);
        assert.notDeepEqual(other, root);
      }
    }
    assert.equal(rootFromProof(hashes[0]!, size, size, []), undefined);
  }
});
