// Loaded before a program (`node --import`): from then on it reaches nothing and resolves no name.

import { Socket } from 'node:dgram';
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';

const refuse = (what: string) => (): never => {
  throw new Error(`Offline: ${what}.`);
};

net.Socket.prototype.connect = refuse('no connection is made');
Socket.prototype.send = refuse('nothing is sent');
Object.assign(dns, { lookup: refuse('no name is looked up'), resolve: refuse('no name is resolved') });
Object.assign(dns.promises, { lookup: refuse('no name is looked up'), resolve: refuse('no name is resolved') });
syncBuiltinESMExports();
