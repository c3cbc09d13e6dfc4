/** Values that are staged together answer each for itself, whichever of them is refused first. */
import { expect, test } from '@jest/globals';
import { LastWords } from '../sim/last-words.ts';
import { StorageRig, turns } from '../testing/storage-rig.ts';

test('a repeat that is refused while the others are being synced waits for them unharmed', async () => {
  const rig = new StorageRig();
  const engine = await rig.open();
  const gone = await rig.whole(engine, 100);
  await engine.drop(gone.id);
  const fresh = rig.value(100);
  const release = rig.disk.holdSyncs();
  const unheard: Error[] = [];
  const words = new LastWords();
  words.listen((error) => unheard.push(error));
  const staged = engine.stageWholes([fresh, gone].map(({ end, data }) => ({ end, data })));
  // Nobody has asked yet how the repeat went: that must not end the process.
  await turns(20);
  words.stopListening();
  release();
  expect(unheard).toEqual([]);
  expect(await staged).toEqual([null, expect.objectContaining({ code: 'NOT_FOUND' })]);
  await engine.close();
});
