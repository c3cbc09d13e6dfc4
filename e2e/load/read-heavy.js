// Of twenty operations nineteen read a key that is there and compare every byte; the twentieth replaces one while
// others read it. `k6 run e2e/load/read-heavy.js`
import { anyShared, optionsOf, prepare, read, removeAll, replace } from './minikv.js';

export const options = optionsOf({ PUT: 2000, GET: 1000 });

export const setup = () => prepare('read-heavy');

export default function (prefix) {
  const key = anyShared(prefix);
  if (__ITER % 20 === 19) replace(key);
  else read(key);
}

export const teardown = (prefix) => removeAll(prefix);
