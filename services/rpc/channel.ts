/**
 * A fresh client per connection: its own socket, no name resolution, no retries and no back-off of
 * grpc-js, which would keep an old address for up to 30 s. Keepalive notices a peer that fell silent.
 */
import { Client, credentials } from '@grpc/grpc-js';
import { parseHostPort } from './address.ts';
import { RPC_LIMITS } from './types.ts';

/** Limits and keepalive that both ends share. */
export const SHARED_OPTIONS = {
  'grpc.max_receive_message_length': RPC_LIMITS.messageBytesMax,
  'grpc.max_send_message_length': RPC_LIMITS.messageBytesMax,
  'grpc.keepalive_time_ms': RPC_LIMITS.keepaliveMs,
  'grpc.keepalive_timeout_ms': RPC_LIMITS.keepaliveTimeoutMs,
  'grpc-node.max_session_memory': RPC_LIMITS.sessionBytesMax / (1024 * 1024),
  'grpc.enable_channelz': 0,
} as const;

const CLIENT_OPTIONS = {
  ...SHARED_OPTIONS,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_retries': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
} as const;

/** A client of one ip:port; the caller closes it. */
export function newClient(ipPort: string): Client {
  const scheme = parseHostPort(ipPort).host.includes(':') ? 'ipv6' : 'ipv4';
  return new Client(`${scheme}:${ipPort}`, credentials.createInsecure(), CLIENT_OPTIONS);
}
