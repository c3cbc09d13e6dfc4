import { describe, expect, test } from '@jest/globals';
import { clusterId, nodeId } from '../common/ids.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import { NodeFolder } from './node-folder.ts';

const cluster = clusterId('ab'.repeat(16));
const other = clusterId('cd'.repeat(16));
const members = [1, 2, 3].map((id) => ({
  node: nodeId(id),
  name: `coord-${id}`,
  address: `coord-${id}:5001`,
}));
const identity = { clusterId: cluster, node: nodeId(2), name: 'coord-2', members };
const options = { path: '/data/coordinator', name: 'coord-2', clusterId: null };

describe('NodeFolder', () => {
  test('raises its boot id at each open and keeps the identity', async () => {
    const disk = new MemoryDisk();
    const first = await NodeFolder.open(disk, options);
    expect(first.bootId).toBe(1);
    expect(first.directoryState()).toBe('empty');
    await first.arm(identity);
    expect(first.directoryState()).toBe('armed');
    await first.close();
    const second = await NodeFolder.open(disk, options);
    expect(second.bootId).toBe(2);
    expect(second.identity).toEqual(identity);
    expect(second.directoryState()).toBe('armed');
    await second.close();
  });

  test('R27: a boot id never comes back, whichever slot decays', async () => {
    for (const at of [20, 16_384 + 20]) {
      const disk = new MemoryDisk();
      for (let boot = 1; boot <= 4; boot += 1) {
        const folder = await NodeFolder.open(disk, options);
        expect(folder.bootId).toBe(boot);
        await folder.close();
        disk.flipBit('/data/coordinator/identity', at);
      }
    }
  });

  test('arms once: the same again is fine, another cluster is refused', async () => {
    const folder = await NodeFolder.open(new MemoryDisk(), options);
    await folder.arm(identity);
    await folder.arm(identity);
    await expect(folder.arm({ ...identity, clusterId: other })).rejects.toMatchObject({
      code: 'CLUSTER_EXISTS',
    });
    expect(folder.identity?.clusterId).toBe(cluster);
  });

  test('is refused under another name or cluster', async () => {
    const disk = new MemoryDisk();
    const folder = await NodeFolder.open(disk, options);
    await folder.arm(identity);
    await folder.close();
    const refused = { code: 'IDENTITY_MISMATCH' };
    await expect(NodeFolder.open(disk, { ...options, name: 'x' })).rejects.toMatchObject(refused);
    await expect(NodeFolder.open(disk, { ...options, clusterId: other })).rejects.toMatchObject(
      refused,
    );
    await (await NodeFolder.open(disk, { ...options, clusterId: cluster })).close();
  });

  test('can be open once only', async () => {
    const disk = new MemoryDisk();
    const folder = await NodeFolder.open(disk, options);
    await expect(NodeFolder.open(disk, options)).rejects.toMatchObject({ code: 'LOCKED' });
    await folder.close();
  });
});
