// 70 % reads, 25 % writes, 5 % deletes and conditional writes, those that must be refused among them.
// `k6 run e2e/load/mixed.js`
import {
  anyOwn,
  anyShared,
  createInVain,
  createOwn,
  forget,
  optionsOf,
  ownKeyCount,
  prepare,
  read,
  remove,
  removeAll,
  replace,
  replaceIfMatch,
  replaceInVain,
} from './minikv.js';

export const options = optionsOf({ PUT: 2000, GET: 1000, DELETE: 2000 });

export const setup = () => prepare('mixed');

const chance = (share) => Math.random() < share;

/** What all may read, or what this user wrote itself. */
const readOne = (prefix) => {
  read(ownKeyCount() > 0 && chance(0.5) ? anyOwn().key : anyShared(prefix));
};

function writeOne(prefix) {
  if (ownKeyCount() === 0 || chance(0.5)) return createOwn(prefix);
  renew(anyOwn(), ({ key }) => replace(key));
}

/** Replaces a key of this user's; the former ETag is kept, since no write may ever be granted by it again. */
function renew(entry, write) {
  const etag = write(entry);
  if (etag === null) return forget(entry);
  entry.formerEtag = entry.etag;
  entry.etag = etag;
}

function deleteOne(entry) {
  forget(entry);
  remove(entry.key);
}

/** One of them in every round, in turn. */
const RARE = [
  (prefix) => createInVain(anyShared(prefix)),
  () => renew(anyOwn(), ({ key, etag }) => replaceIfMatch(key, etag)),
  () => {
    const entry = anyOwn();
    if (entry.formerEtag === undefined) renew(entry, ({ key }) => replace(key));
    else replaceInVain(entry.key, entry.formerEtag);
  },
  () => deleteOne(anyOwn()),
];

const ROUND = 20;

/** 14 reads, 5 writes and a rare one a round, writes after two or three reads; users are not in step. */
export default function (prefix) {
  const place = (__ITER * 7 + __VU) % ROUND;
  if (place < 14) readOne(prefix);
  else if (place < 19 || ownKeyCount() === 0) writeOne(prefix);
  else RARE[Math.floor(__ITER / ROUND) % RARE.length](prefix);
}

export const teardown = (prefix) => removeAll(prefix);
