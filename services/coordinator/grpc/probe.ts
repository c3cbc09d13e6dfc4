/** Asks a coordinator by name who it is and what its folder holds. */
import type { NamedAddress } from '../../config/options.ts';
import { type ProbeReply, RaftService } from '../../rpc/generated/raft.ts';
import { checkHello, helloTo, type Introduction } from '../../rpc/hello.ts';
import { type CallComponents, callUnary } from '../../rpc/unary.ts';
import type { NodeState, PeerAnswer } from '../bootstrap-rules.ts';

const TIMEOUT_MS = 1000;
const STATES: readonly string[] = ['empty', 'armed', 'waiting', 'member', 'recovering', 'void'];

export interface ProbeComponents extends CallComponents {
  readonly introduce: () => Introduction;
}

/**
 * The peer's answer; `unreachable` for everything that is not an answer of the coordinator of that
 * name. Never rejects.
 */
export async function probePeer(
  components: ProbeComponents,
  { name, address }: NamedAddress,
): Promise<PeerAnswer> {
  const request = { hello: helloTo(components.introduce(), 0) };
  try {
    const target = { address, timeoutMs: TIMEOUT_MS };
    const reply = await callUnary(components, RaftService.probe, target, request);
    return answerOf(name, reply);
  } catch {
    return unreachable(name);
  }
}

/** @throws nothing: an answer that makes no sense is none. */
function answerOf(name: string, { hello, state, members, term }: ProbeReply): PeerAnswer {
  const refusal = checkHello({ role: 'coordinator', clusterId: null, to: null, name }, hello);
  if (refusal !== null || hello === undefined || !isNodeState(state)) return unreachable(name);
  // A term makes a member, whatever its folder has been told so far.
  const isMember = state === 'armed' && term > 0;
  return {
    name,
    state: isMember ? 'member' : state,
    clusterId: hello.clusterId,
    members: members.map((member) => ({ node: member.node, name: member.name })),
  };
}

const isNodeState = (text: string): text is NodeState => STATES.includes(text);

const unreachable = (name: string): PeerAnswer => ({
  name,
  state: 'unreachable',
  clusterId: '',
  members: [],
});
