import { expect, test } from '@jest/globals';
import { diskId } from '../common/ids.ts';
import { CoordinatorWorld } from '../testing/coordinator-world.ts';
import { FirstContact } from './first-contact.ts';

const contactOf = ({ clock, metadata, volumes }: CoordinatorWorld): FirstContact =>
  new FirstContact({ clock, metadata, directory: volumes });

test('is made once all registered disks are heard, and a later loss does not undo it', () => {
  const world = new CoordinatorWorld();
  world.volumes.at(2).isHeard = false;
  const contact = contactOf(world);
  expect(contact.isMade).toBe(false);
  world.volumes.at(2).isHeard = true;
  expect(contact.isMade).toBe(true);
  world.volumes.at(2).isHeard = false;
  expect(contact.isMade).toBe(true);
});

test('does not wait long for a volume that is away, nor at all for one that is gone', async () => {
  const world = new CoordinatorWorld();
  world.volumes.at(2).isHeard = false;
  const contact = contactOf(world);
  await world.clock.advance(5999);
  expect(contact.isMade).toBe(false);
  await world.clock.advance(1);
  expect(contact.isMade).toBe(true);
  world.consensus.apply({ kind: 'set-disk', disk: diskId(2), state: 'gone', zone: null });
  expect(contactOf(world).isMade).toBe(true);
  expect(contactOf(new CoordinatorWorld({ volumes: 0 })).isMade).toBe(true);
});
