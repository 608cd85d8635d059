// The everything server listens on all addresses of a machine and cannot be told otherwise. With this it listens on 127.0.0.1.
const { Server } = require("node:net");

const listen = Server.prototype.listen;
Server.prototype.listen = function (port, ...rest) {
    return listen.call(this, { port: Number(port), host: "127.0.0.1" }, ...rest);
};
