// jetcd: a watch that ends between "created" and its first events goes on behind them. Needs jetcd-core; no etcd.
import io.etcd.jetcd.*;
import io.etcd.jetcd.api.*;
import io.etcd.jetcd.options.WatchOption;
import io.grpc.*;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;

class JetcdResume extends WatchGrpc.WatchImplBase {
    public StreamObserver<WatchRequest> watch(StreamObserver<WatchResponse> answers) {
        return new StreamObserver<>() {
            public void onNext(WatchRequest asked) {
                System.out.println("asked to watch from revision " + asked.getCreateRequest().getStartRevision());
                var now = ResponseHeader.newBuilder().setRevision(100); // 5 to 100 would be sent next
                answers.onNext(WatchResponse.newBuilder().setHeader(now).setCreated(true).build());
                answers.onError(Status.UNAVAILABLE.withDescription("lost").asException()); // but the connection is lost
            }
            public void onError(Throwable error) {}
            public void onCompleted() {}
        };
    }
    public static void main(String[] arguments) throws Exception {
        var server = NettyServerBuilder.forPort(4997).addService(new JetcdResume()).build().start();
        var from = WatchOption.builder().withRevision(5).build();
        Client.builder().endpoints("http://127.0.0.1:4997").build().getWatchClient()
            .watch(ByteSequence.from("key".getBytes()), from, Watch.listener(changes -> {}));
        Thread.sleep(3000);
        System.exit(0);
    }
}
