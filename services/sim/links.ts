/** Network faults that overlap: what a link suffers is the worst of all that is in force on it. */
import type { Link } from './fault-types.ts';
import type { LinkFaults, SimNetwork } from './types.ts';

interface InForce {
  readonly links: readonly Link[];
  readonly faults: Partial<LinkFaults>;
}

export class LinkTable {
  readonly #network: Pick<SimNetwork, 'set'>;
  readonly #inForce = new Set<InForce>();

  constructor(network: Pick<SimNetwork, 'set'>) {
    this.#network = network;
  }

  /** Puts faults on links; the answer takes them off again. */
  add(links: readonly Link[], faults: Partial<LinkFaults>): () => void {
    const entry = { links, faults };
    this.#inForce.add(entry);
    this.#refresh(links);
    return () => {
      if (this.#inForce.delete(entry)) this.#refresh(links);
    };
  }

  clear(): void {
    const all = [...this.#inForce].flatMap(({ links }) => links);
    this.#inForce.clear();
    this.#refresh(all);
  }

  #refresh(links: readonly Link[]): void {
    for (const [from, to] of links) {
      const here = [...this.#inForce].filter((entry) =>
        entry.links.some((link) => link[0] === from && link[1] === to),
      );
      const worst = (read: (faults: Partial<LinkFaults>) => number | undefined): number =>
        Math.max(0, ...here.map(({ faults }) => read(faults) ?? 0));
      const delayMsMean = worst((faults) => faults.delayMsMean);
      this.#network.set(from, to, {
        isCut: here.some(({ faults }) => faults.isCut === true),
        resetChance: worst((faults) => faults.resetChance),
        delayMsMin: worst((faults) => faults.delayMsMin),
        ...(delayMsMean > 0 ? { delayMsMean } : { delayMsMean: USUAL_DELAY_MS_MEAN }),
      });
    }
  }
}

/** What a healthy link takes besides its least delay. */
const USUAL_DELAY_MS_MEAN = 0.2;
