// Nine of ten operations write a key that is new; the tenth reads one back that this user wrote, through another
// coordinator, and compares every byte. `k6 run e2e/load/write-heavy.js`
import { anyOwn, createOwn, optionsOf, ownKeyCount, prepare, read, removeAll } from './minikv.js';

export const options = optionsOf({ PUT: 2000, GET: 1000 });

export const setup = () => prepare('write-heavy');

export default function (prefix) {
  if (__ITER % 10 === 9 && ownKeyCount() > 0) read(anyOwn().key);
  else createOwn(prefix);
}

export const teardown = (prefix) => removeAll(prefix);
