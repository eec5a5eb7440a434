import { hostileBytes } from './hostile-bytes.ts';

hostileBytes(true);
